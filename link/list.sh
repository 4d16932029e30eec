#!/bin/sh
# Writes link/functions: what the three programs run from their start on and under load, by callgrind.
set -eu
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { apt-get update -qq && apt-get install -y -qq valgrind >/dev/null; }
program=$PWD/target/release/seamark
place=$(mktemp -d)
space=seamark-$$-order
clean() {
    kill $started 2>/dev/null || true
    wait
    ip netns delete $space 2>/dev/null || true
    rm -rf "$place"
}
started=
trap clean EXIT
trap 'exit 130' HUP INT TERM
cd "$place"

# until COMMAND...: waits until it succeeds.
until_() {
    for _ in $(seq 300); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.5
    done
    echo "never: $*" >&2
    exit 1
}
# [within=PREFIX] profiled NAME COMMAND...: runs it in the background, until `finish NAME`.
profiled() {
    name=$1
    shift
    ${within:-} valgrind -q --tool=callgrind --demangle=no --callgrind-out-file="$place/$name.profile" "$@" >"$name.log" 2>&1 &
    eval "$name=$!"
    started="$started $!"
}
finish() {
    eval "kill -TERM \$$1"
    until_ test -s "$1.profile"
    eval "wait \$$1" || true
}
ask() { dig +tries=1 +time=10 "$@"; }

ip netns add $space
ip -n $space link set lo up
inside="ip netns exec $space"
cat >upstream <<'CONFIG'
.:5390 {
    template IN ANY . {
        answer "{{ .Name }} 60 IN A 192.0.2.1"
    }
}
CONFIG
"$program" serve -conf upstream >/dev/null 2>&1 &
started="$started $!"
$inside "$program" serve -conf upstream >/dev/null 2>&1 &
started="$started $!"
"$OLDPWD/target/e2e/apiserver" -dir "$place/api" -port 17453 -cluster services=2000,endpoints=18000,nodes=2000,pods=200 >api.log 2>&1 &
started="$started $!"
until_ grep -q ready api.log
head -1000 api/queries/names >names
seq 1 2000 | sed 's/.*/n&.example.org A/' >outside

echo "cluster DNS" >&2
cat >Corefile <<CONFIG
.:5391 {
    bind 127.0.0.1
    errors
    health 127.0.0.1:5392 {
        lameduck 1s
    }
    ready 127.0.0.1:5393
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        kubeconfig $place/api/admin.kubeconfig
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    prometheus 127.0.0.1:5394
    forward . 127.0.0.1:5390 {
        max_concurrent 1000
    }
    cache 30 {
        disable success cluster.local
        disable denial cluster.local
    }
    loop
    reload 2s
    loadbalance
}
CONFIG
ln -s "$program" coredns
profiled cluster ./coredns -conf Corefile
until_ curl -sf http://127.0.0.1:5393/ready
for queries in names api/queries/srv api/queries/ptr api/queries/walk outside; do
    dnsperf -s 127.0.0.1 -p 5391 -d $queries -l 3 -c 4 -q 20 >/dev/null 2>&1
done
for name in kubernetes.default.svc.cluster.local missing.default.svc.cluster.local outside.example.org; do
    for type in A AAAA SRV; do
        ask @127.0.0.1 -p 5391 $name $type >/dev/null
        ask @127.0.0.1 -p 5391 +tcp $name $type >/dev/null
    done
done
ask @127.0.0.1 -p 5391 10-0-0-1.default.pod.cluster.local >/dev/null
echo "# a reload" >>Corefile
sleep 8
for path in 5392/health 5393/ready 5394/metrics; do curl -s http://127.0.0.1:$path >/dev/null; done
dnsperf -s 127.0.0.1 -p 5391 -d names -l 2 -c 4 -q 20 >/dev/null 2>&1
finish cluster

echo "node cache" >&2
sed -n '/^  Corefile: |/,/^---/{//d; s/^    //p}' "$OLDPWD/deploy/node-cache.yaml" |
    sed 's/__PILLAR__LOCAL__DNS__/169.254.20.53/; s/__PILLAR__DNS__DOMAIN__/cluster.local/; s/__PILLAR__DNS__SERVER__/10.96.0.10/
        s/__PILLAR__CLUSTER__DNS__/127.0.0.1:5390/; s/__PILLAR__UPSTREAM__SERVERS__/127.0.0.1:5390/' >base
ln -s "$program" node-cache
within=$inside profiled node ./node-cache -localip 169.254.20.53,10.96.0.10 -conf node.out -basecorefile base -health-port 8080
until_ $inside curl -sf http://169.254.20.53:8080/health
for queries in outside names api/queries/walk; do
    $inside dnsperf -s 169.254.20.53 -d $queries -l 3 -c 4 -q 20 >/dev/null 2>&1
done
$inside dig +tcp @169.254.20.53 outside.example.org >/dev/null
$inside curl -s http://127.0.0.1:9253/metrics >/dev/null
sleep 5
finish node

echo "autoscaler" >&2
kubectl() { curl -sfk -H "Authorization: Bearer admin-token-for-tests" -H "Content-Type: application/json" "$@" >/dev/null; }
kubectl https://127.0.0.1:17453/api/v1/namespaces/kube-system/configmaps -d '{"metadata": {"name": "dns-autoscaler"},
    "data": {"linear": "{\"coresPerReplica\": 256, \"nodesPerReplica\": 16, \"preventSinglePointFailure\": true}"}}'
kubectl https://127.0.0.1:17453/apis/apps/v1/namespaces/kube-system/deployments -d '{"metadata": {"name": "coredns"}, "spec":
    {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}},
    "spec": {"containers": [{"name": "c", "image": "i"}]}}}}'
ln -s "$program" cluster-proportional-autoscaler
profiled autoscaler ./cluster-proportional-autoscaler --kubeconfig=api/admin.kubeconfig --health-address=127.0.0.1:5395 \
    --namespace=kube-system --configmap=dns-autoscaler --target=deployment/coredns --poll-period-seconds=2
until_ curl -sf http://127.0.0.1:5395/last-poll
sleep 10
curl -s http://127.0.0.1:5395/metrics >/dev/null
finish autoscaler

cd "$OLDPWD"
{
    echo "# What the programs run, by \`make order\`: name without hash, size in octets (hexadecimal)."
    nm -S --defined-only "$program" |
        awk -f link/hashless.awk -f link/list.awk "$place/cluster.profile" "$place/node.profile" "$place/autoscaler.profile" - |
        sort -k1,1n -k2,3 | cut -d' ' -f2-
} >"$place/functions"
[ "$(wc -l <"$place/functions")" -gt 1000 ] || {
    echo "hardly a function has run" >&2
    exit 1
}
mv "$place/functions" link/functions
wc -l link/functions
