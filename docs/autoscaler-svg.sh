#!/bin/sh
# Draws docs/autoscaler.svg: replicas over nodes for the stock parameters. Every number comes from `seamark autoscale
# --explain`. Called with the program's path; writes to standard output.
set -eu
program=${1:?the program}
params='{"linear":{"coresPerReplica":256,"nodesPerReplica":16,"min":2,"preventSinglePointFailure":true}}'

# The numbers change one node behind a multiple of 8 or 16, so that every fourth node is enough.
for cores in 4 32; do
    nodes=1
    while [ "$nodes" -le 301 ]; do
        replicas=$("$program" autoscale --explain --params "$params" --nodes "$nodes" --cores $((nodes * cores)) | sed -n 's/^replicas: //p')
        echo "$cores $nodes $replicas"
        nodes=$((nodes + 4))
    done
done | awk '
function x(nodes) { return 60 + nodes * 2.1 }
function y(replicas) { return 300 - replicas * 6.5 }
BEGIN {
    print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 720 360\" font-family=\"sans-serif\" font-size=\"12\">"
    print "<title>Replicas over nodes: one for 16 nodes or 256 cores, at least 2</title>"
    print "<rect width=\"720\" height=\"360\" fill=\"#ffffff\"/>"
    for (replicas = 0; replicas <= 40; replicas += 5) {
        printf "<path d=\"M60 %.1fH690\" stroke=\"#dddddd\"/>", y(replicas)
        printf "<text x=\"52\" y=\"%.1f\" text-anchor=\"end\">%d</text>\n", y(replicas) + 4, replicas
    }
    for (nodes = 0; nodes <= 300; nodes += 50) {
        printf "<path d=\"M%.1f 300v5\" stroke=\"#666666\"/>", x(nodes)
        printf "<text x=\"%.1f\" y=\"320\" text-anchor=\"middle\">%d</text>\n", x(nodes), nodes
    }
    print "<text x=\"375\" y=\"344\" text-anchor=\"middle\">nodes</text>"
    print "<text x=\"60\" y=\"24\">replicas</text>"
    colour[4] = "#1f6fb4"; colour[32] = "#c2571a"
}
{
    if (!($1 in path)) path[$1] = sprintf("M%.1f %.1f", x($2), y($3))
    else if ($3 != last[$1]) path[$1] = path[$1] sprintf("H%.1fV%.1f", x($2), y($3))
    last[$1] = $3; end[$1] = $2
}
END {
    for (turn = 1; turn <= 2; turn++) {
        cores = turn == 1 ? 4 : 32
        printf "<path d=\"%sH%.1f\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n", path[cores], x(end[cores]), colour[cores]
        printf "<text x=\"%.1f\" y=\"%.1f\" fill=\"%s\" text-anchor=\"end\">%d cores each</text>\n", x(230), y(turn == 1 ? 8 : 34), colour[cores], cores
    }
    print "</svg>"
}'
