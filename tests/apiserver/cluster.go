package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log"
	"math"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
)

// Size says how large a made cluster is. The same size gives the same cluster.
type Size struct {
	Services, Endpoints, Nodes, Pods int
	Seed                             int64
}

// parseSize reads `services=8000,endpoints=74400,nodes=5000,pods=0,seed=1`. What is not said has the value shown.
func parseSize(text string) (Size, error) {
	size := Size{Services: 8000, Nodes: 5000, Seed: 1}
	for _, word := range strings.Split(text, ",") {
		var number int
		name, value, _ := strings.Cut(word, "=")
		if _, err := fmt.Sscanf(value, "%d", &number); err != nil || number < 0 {
			return size, fmt.Errorf("-cluster: %q: want NAME=NUMBER", word)
		}
		switch name {
		case "services":
			size.Services = number
		case "endpoints":
			size.Endpoints = number
		case "nodes":
			size.Nodes = number
		case "pods":
			size.Pods = number
		case "seed":
			size.Seed = int64(number)
		default:
			return size, fmt.Errorf("-cluster: %q: want services, endpoints, nodes, pods or seed", name)
		}
	}
	if size.Endpoints == 0 {
		size.Endpoints = size.Services * 93 / 10
	}
	if size.Services < 10 || size.Services > 60_000 || size.Nodes < 1 {
		return size, fmt.Errorf("-cluster: %q: want 10 to 60000 services (the network is a /16) and a node", text)
	}
	return size, nil
}

// makeCluster writes a cluster into an etcd that has none, past the API server: a million endpoints in a minute.
// A directory holds one cluster; the file `cluster` in it says which.
func makeCluster(etcd *embed.Etcd, dir string, size Size) error {
	mark := filepath.Join(dir, "cluster")
	text := fmt.Sprintf("services=%d,endpoints=%d,nodes=%d,pods=%d,seed=%d\n",
		size.Services, size.Endpoints, size.Nodes, size.Pods, size.Seed)
	if held, err := os.ReadFile(mark); err == nil {
		if string(held) != text {
			return fmt.Errorf("%s holds another cluster: %s", dir, held)
		}
		return nil
	}
	started := time.Now()
	client := v3client.New(etcd.Server)
	defer client.Close()
	maker := &maker{
		Size:    size,
		random:  rand.New(rand.NewSource(size.Seed)),
		client:  client,
		encoder: protobuf.NewSerializer(scheme.Scheme, scheme.Scheme),
		born:    metav1.NewTime(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)),
	}
	maker.plan()
	maker.namespaces()
	maker.nodes()
	maker.services()
	maker.pods()
	maker.flush()
	if maker.err != nil {
		return maker.err
	}
	if err := maker.queries(filepath.Join(dir, "queries")); err != nil {
		return err
	}
	log.Printf("wrote %d objects, %d MiB in %s", maker.count, maker.octets>>20, time.Since(started).Round(time.Millisecond))
	return os.WriteFile(mark, []byte(text), 0o600)
}

// service is what the generator knows of a Service: `endpoints` of them, whose pods are `first`, `first+1`, ...
type service struct {
	namespace, name, address string
	headless                 bool
	first, endpoints         int
	uid                      types.UID
}

type maker struct {
	Size
	random  *rand.Rand
	client  *clientv3.Client
	encoder runtime.Encoder
	born    metav1.Time
	spaces  []string
	all     []service
	owners  []int           // the service that a pod was made for
	zone    strings.Builder // the addresses of the Services' names, as a zone file
	batch   []clientv3.Op
	weight  int
	count   int
	octets  int
	err     error
}

// put encodes an object as the API server would and writes it with the next batch.
func (m *maker) put(key string, version metav1.TypeMeta, object runtime.Object) {
	if m.err != nil {
		return
	}
	object.GetObjectKind().SetGroupVersionKind(version.GroupVersionKind())
	var text bytes.Buffer
	if m.err = m.encoder.Encode(object, &text); m.err != nil {
		return
	}
	m.batch = append(m.batch, clientv3.OpPut("/registry/"+key, text.String()))
	m.weight += text.Len()
	m.count++
	m.octets += text.Len()
	if len(m.batch) == 120 || m.weight > 1<<20 {
		m.flush()
	}
}

func (m *maker) flush() {
	if m.err == nil && len(m.batch) > 0 {
		_, m.err = m.client.Txn(context.Background()).Then(m.batch...).Commit()
	}
	m.batch, m.weight = m.batch[:0], 0
}

var (
	teams = []string{"payments", "checkout", "search", "catalog", "identity", "billing", "shipping", "pricing", "media",
		"mail", "fraud", "ledger", "reports", "mobile", "partner", "data", "ml", "platform", "support", "growth"}
	stages = []string{"prod", "staging", "canary", "dev", "load", "eu", "us", "ap", "batch", "tools"}
	parts  = []string{"api", "web", "worker", "gateway", "store", "index", "events", "profile", "session", "quote", "order",
		"invoice", "stock", "image", "token", "rules", "audit", "export", "import", "scheduler"}
	kinds = []string{"v1", "v2", "internal", "grpc", "edge", "sync", "cache", "admin", "public", "legacy"}
	sets  = []string{"postgres", "kafka", "redis", "cassandra", "elastic", "zookeeper", "etcd", "minio"}
)

// plan decides names, addresses and how many endpoints each Service has: most have a few, some have hundreds, one in
// twenty has none.
func (m *maker) plan() {
	for len(m.spaces) < max(5, min(200, m.Services/40)) {
		n := len(m.spaces)
		m.spaces = append(m.spaces, fmt.Sprintf("%s-%s", teams[n%len(teams)], stages[n/len(teams)%len(stages)]))
	}
	weights := make([]float64, m.Services)
	sum := 0.
	for n := range weights {
		if m.random.Intn(20) > 0 {
			weights[n] = math.Exp(m.random.NormFloat64())
		}
		sum += weights[n]
	}
	left := m.Endpoints
	for n := range m.Services {
		one := service{
			namespace: m.spaces[n%len(m.spaces)],
			headless:  n%10 == 3,
			endpoints: min(left, int(weights[n]/sum*float64(m.Endpoints))),
			uid:       m.uid(),
		}
		number := n / len(m.spaces)
		if one.headless {
			one.name = fmt.Sprintf("%s-%s-%d", sets[number%len(sets)], parts[m.random.Intn(len(parts))], number)
		} else {
			one.name = fmt.Sprintf("%s-%s-%d", parts[number%len(parts)], kinds[m.random.Intn(len(kinds))], number)
			one.address = fmt.Sprintf("10.96.%d.%d", 1+n/254, 1+n%254)
		}
		left -= one.endpoints
		m.all = append(m.all, one)
	}
	// What rounding has left goes round.
	for n := 0; left > 0; n = (n + 1) % m.Services {
		if m.all[n].endpoints > 0 {
			m.all[n].endpoints++
			left--
		}
	}
	// A cluster with more endpoints than pods has pods behind several Services.
	pods := m.Endpoints
	if m.Pods > 0 {
		pods = m.Pods
	}
	next := 0
	for n := range m.all {
		if next+m.all[n].endpoints > pods {
			next = 0
		}
		m.all[n].first = next
		next += m.all[n].endpoints
		for len(m.owners) < next {
			m.owners = append(m.owners, n)
		}
	}
	for len(m.owners) < m.Pods {
		m.owners = append(m.owners, len(m.owners)%m.Services)
	}
}

func (m *maker) uid() types.UID {
	a, b := m.random.Uint64(), m.random.Uint64()
	return types.UID(fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0x3fff|0x8000, b&0xffffffffffff))
}

// podAddress is in 10.128.0.0/9.
func podAddress(pod int) string {
	return fmt.Sprintf("10.%d.%d.%d", 128+pod>>16, pod>>8&255, pod&255)
}

// podName is as its owner names it: NAME-0 of a StatefulSet, NAME-HASH-HASH of a Deployment.
func (m *maker) podName(pod int) string {
	owner := m.all[m.owners[pod]]
	if owner.headless {
		return fmt.Sprintf("%s-%d", owner.name, pod-owner.first)
	}
	return fmt.Sprintf("%s-%s-%s", owner.name, letters(uint32(m.owners[pod])*2654435761, 9), letters(uint32(pod)*2246822519+7, 5))
}

// letters are those that Kubernetes makes hashes of.
func letters(number uint32, count int) string {
	const alphabet = "bcdfghjklmnpqrstvwxz2456789"
	text := make([]byte, count)
	for n := range text {
		text[n] = alphabet[number%uint32(len(alphabet))]
		number = number/uint32(len(alphabet)) + number*31
	}
	return string(text)
}

func (m *maker) nodeOf(pod int) (name, zone string) {
	node := pod * 7919 % m.Nodes
	return nodeName(node), zoneName(node)
}

func nodeName(node int) string {
	return fmt.Sprintf("ip-10-0-%d-%d.eu-central-1.compute.internal", node>>8, node&255)
}

func zoneName(node int) string {
	return "eu-central-1" + string(rune('a'+node%3))
}

// record adds a line to the zone file.
func (m *maker) record(one service, address string) {
	fmt.Fprintf(&m.zone, "%s.%s.svc 30 A %s\n", one.name, one.namespace, address)
}

// queries writes a file for dnsperf for each workload that asks about this cluster, and the zone for a server that knows no
// Kubernetes.
func (m *maker) queries(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	const apex = "$ORIGIN cluster.local.\n@ 30 SOA ns.dns hostmaster 1 7200 1800 86400 30\n@ 30 NS ns.dns\nns.dns 30 A 10.96.0.10\n"
	if err := os.WriteFile(filepath.Join(dir, "cluster.local.zone"), []byte(apex+m.zone.String()), 0o644); err != nil {
		return err
	}
	const lines = 20_000
	var headless []service
	for _, one := range m.all {
		if one.headless && one.endpoints > 0 {
			headless = append(headless, one)
		}
	}
	full := func(one service) string { return one.name + "." + one.namespace + ".svc.cluster.local" }
	both := func(name string) string { return name + " A\n" + name + " AAAA\n" }
	reverse := func(address string) string {
		var a, b, c, d int
		fmt.Sscanf(address, "%d.%d.%d.%d", &a, &b, &c, &d)
		return fmt.Sprintf("%d.%d.%d.%d.in-addr.arpa PTR\n", d, c, b, a)
	}
	any := func() service { return m.all[m.random.Intn(len(m.all))] }
	files := []struct {
		name string
		one  func() string
	}{
		// Six of ten ask for A, three for AAAA, one for a name that is not there.
		{"names", func() string {
			switch n := m.random.Intn(10); {
			case n < 6:
				return full(any()) + " A\n"
			case n < 9:
				return full(any()) + " AAAA\n"
			default:
				return "no-" + full(any()) + " A\n"
			}
		}},
		// What a pod with `ndots:5` sends for `NAME.NAMESPACE` and for a name outside, A and AAAA each. The pods of a
		// namespace use ten Services and ten names outside.
		{"walk", func() string {
			at, which := m.random.Intn(len(m.spaces)), m.random.Intn(10)
			space := m.spaces[at]
			if m.random.Intn(2) == 0 {
				one := m.all[(at*7919+which*104729)%len(m.all)]
				short := one.name + "." + one.namespace
				return both(short+"."+space+".svc.cluster.local") + both(short+".svc.cluster.local")
			}
			name := fmt.Sprintf("api-%d.example.org", (at*31+which*17)%200)
			return both(name+"."+space+".svc.cluster.local") + both(name+".svc.cluster.local") + both(name+".cluster.local") + both(name)
		}},
		{"ptr", func() string {
			if one := any(); one.address != "" && m.random.Intn(2) == 0 {
				return reverse(one.address)
			}
			return reverse(podAddress(m.random.Intn(min(m.Endpoints, len(m.owners)))))
		}},
		{"srv", func() string { return "_peer._tcp." + full(headless[m.random.Intn(len(headless))]) + " SRV\n" }},
	}
	for _, file := range files {
		out, err := os.Create(filepath.Join(dir, file.name))
		if err != nil {
			return err
		}
		writer := bufio.NewWriter(out)
		for range lines {
			writer.WriteString(file.one())
		}
		if err := writer.Flush(); err != nil {
			return err
		}
		if err := out.Close(); err != nil {
			return err
		}
	}
	return nil
}
