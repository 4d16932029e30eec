# Three profiles of callgrind (cluster DNS, node cache, autoscaler), symbols of `nm -S` → "rank name size" of what has run.
# Functions that the same programs run have one rank.
FNR == 1 { number++ }

FILENAME != "-" && /^c?fn=\([0-9]+\) / {
    symbol = $2
    sub(/'[0-9]+$/, "", symbol)
    if (index(ran[symbol], number) == 0) ran[symbol] = ran[symbol] number
}

FILENAME == "-" && NF == 4 && tolower($3) ~ /[tw]/ && $4 in ran {
    size = $2
    sub(/^0+/, "", size)
    print rank(ran[$4]), hashless($4), size
}

# Such that what one program runs stands together as far as may be.
function rank(programs) {
    return index(" 1 12 123 13 23 2 3 ", " " programs " ")
}
