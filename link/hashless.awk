# A symbol without what is another in every build: the hash of a function, and that of a crate.
function hashless(symbol) {
    sub(/17h[0-9a-f]+E$/, "17h", symbol)
    gsub(/Cs[0-9A-Za-z]+_/, "Cs_", symbol)
    return symbol
}
