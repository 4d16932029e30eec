# functions, symbols of `nm -S` → names of symbols in the order of the functions.
#
# Generic functions are there several times with nothing but another hash: the ones of the listed sizes are meant, or all,
# if none has its size any more.
FNR == NR {
    if ($1 != "#") {
        place[$1, $2] = ++places
        if (!($1 in first)) first[$1] = places
    }
    next
}

NF == 4 && tolower($3) ~ /[tw]/ {
    name = hashless($4)
    size = $2
    sub(/^0+/, "", size)
    if ((name, size) in place) {
        put(place[name, size], $4)
        met[name] = 1
    } else if (name in first) {
        others[name] = others[name] " " $4
    }
}

function put(at, symbol) {
    here[at] = here[at] " " symbol
}

END {
    for (name in others) if (!(name in met)) put(first[name], others[name])
    # Those of C are in libraries, and have no hash.
    for (name in first) if (name !~ /^_(ZN|R)/) put(first[name], name)
    for (at = 1; at <= places; at++) {
        count = split(here[at], symbols, " ")
        for (i = 1; i <= count; i++) print symbols[i]
    }
}
