#!/bin/sh
# Serves Corefile.example and prints what to ask. Usage: examples/run.sh BINARY PORT
set -eu
binary=$1
port=$2
corefile=$(mktemp)
trap 'rm -f "$corefile"' EXIT
# A machine without a name server still serves the sample cluster.
resolv=/etc/resolv.conf
if ! grep -qs '^nameserver' "$resolv"; then resolv=127.0.0.1:5300; fi
sed -e "s/^\.:1053/.:$port/" -e "s#^    forward \. /etc/resolv.conf#    forward . $resolv#" Corefile.example >"$corefile"
cat <<TEXT
Serving the sample cluster of examples/cluster. In another terminal:

  dig @127.0.0.1 -p $port api.shop.svc.cluster.local +short                  # 10.96.120.8
  dig @127.0.0.1 -p $port web.shop.svc.cluster.local AAAA +short             # fd00:10:96::1219
  dig @127.0.0.1 -p $port _http._tcp.api.shop.svc.cluster.local SRV +short   # 0 100 80 api.shop.svc.cluster.local.
  dig @127.0.0.1 -p $port db-1.db.data.svc.cluster.local +short              # 10.244.2.21
  dig @127.0.0.1 -p $port -x 10.244.2.21 +short                              # db-1.db.data.svc.cluster.local.
  dig @127.0.0.1 -p $port api.default.svc.cluster.local +short               # api.shop.svc.cluster.local. 10.96.120.8
  dig @127.0.0.1 -p $port nobody.shop.svc.cluster.local                      # status: NXDOMAIN
  curl -s http://127.0.0.1:18181/ready                                       # OK
  curl -s http://127.0.0.1:19153/metrics | grep coredns_dns_requests_total

Change a file under examples/cluster and ask again. Ctrl-C ends it.

TEXT
"$binary" serve -conf "$corefile"
