package main

import (
	"context"
	"fmt"
	"math/bits"
	"math/rand"
	"sync"
	"sync/atomic"
	"time"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

const (
	namespace = "soak"
	count     = 64 // Services whose endpoints change
	most      = 24 // endpoints of one, so that its addresses fit into 512 octets
	writers   = 32
)

// target is a headless Service whose endpoints change.
type target struct {
	number int
	name   string
	set    uint32
	history
}

type churn struct {
	client         kubernetes.Interface
	services       []*target
	made, failures atomic.Int64
}

// away is when the API server last did not answer, Unix time in nanoseconds.
var away atomic.Int64

// slice is the EndpointSlice of a set. A bit that is not set has an endpoint that is not ready, or none.
func (t *target) slice(set uint32) *discovery.EndpointSlice {
	slice := &discovery.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: t.name + "-1", Labels: map[string]string{
			discovery.LabelServiceName: t.name, core.IsHeadlessService: "", discovery.LabelManagedBy: "soak",
		}},
		AddressType: discovery.AddressTypeIPv4,
		Ports:       []discovery.EndpointPort{{Name: ptr.To("peer"), Port: ptr.To(int32(7000)), Protocol: ptr.To(core.ProtocolTCP)}},
	}
	for n := range most {
		ready := set>>n&1 == 1
		if !ready && n%2 == 0 {
			continue
		}
		slice.Endpoints = append(slice.Endpoints, discovery.Endpoint{
			Addresses:  []string{fmt.Sprintf("10.64.%d.%d", t.number, n)},
			Hostname:   ptr.To(fmt.Sprintf("%s-%d", t.name, n)),
			Conditions: discovery.EndpointConditions{Ready: &ready},
		})
	}
	return slice
}

// read tells which set an EndpointSlice has.
func read(slice *discovery.EndpointSlice) (set uint32) {
	for _, endpoint := range slice.Endpoints {
		var a, b, c, n int
		fmt.Sscanf(endpoint.Addresses[0], "%d.%d.%d.%d", &a, &b, &c, &n)
		if *endpoint.Conditions.Ready {
			set |= 1 << n
		}
	}
	return set
}

// prepare creates the Services, each with one endpoint.
func prepare(client kubernetes.Interface) *churn {
	ctx := context.Background()
	space := &core.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	_, err := client.CoreV1().Namespaces().Create(ctx, space, metav1.CreateOptions{})
	exists(err)
	made := &churn{client: client}
	for n := range count {
		one := &target{number: n, name: fmt.Sprintf("set-%d", n), set: 1}
		service := &core.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: one.name},
			Spec:       core.ServiceSpec{ClusterIP: core.ClusterIPNone, Ports: []core.ServicePort{{Name: "peer", Port: 7000}}},
		}
		_, err := client.CoreV1().Services(namespace).Create(ctx, service, metav1.CreateOptions{})
		exists(err)
		_, err = client.DiscoveryV1().EndpointSlices(namespace).Create(ctx, one.slice(one.set), metav1.CreateOptions{})
		if errors.IsAlreadyExists(err) {
			_, err = client.DiscoveryV1().EndpointSlices(namespace).Update(ctx, one.slice(one.set), metav1.UpdateOptions{})
		}
		must(err)
		one.begin(one.set, time.Now())
		made.services = append(made.services, one)
	}
	return made
}

// exists lets a run begin where another has been.
func exists(err error) {
	if !errors.IsAlreadyExists(err) {
		must(err)
	}
}

// run makes so many changes a second until the context ends. Each writer has Services of its own.
func (c *churn) run(ctx context.Context, group *sync.WaitGroup, rate int) {
	for writer := range writers {
		group.Add(1)
		go func() {
			defer group.Done()
			random := rand.New(rand.NewSource(int64(writer)))
			ticks := time.NewTicker(time.Second * writers / time.Duration(rate))
			defer ticks.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticks.C:
					c.change(ctx, c.services[random.Intn(count/writers)*writers+writer], random)
				}
			}
		}()
	}
}

// change flips one to three endpoints of a Service. Never all: what an empty one answers is asked elsewhere.
func (c *churn) change(ctx context.Context, one *target, random *rand.Rand) {
	set := one.set
	for range 1 + random.Intn(3) {
		set ^= 1 << random.Intn(most)
	}
	if bits.OnesCount32(set) == 0 {
		return
	}
	slices := c.client.DiscoveryV1().EndpointSlices(namespace)
	one.begin(set, time.Now())
	_, err := slices.Update(context.Background(), one.slice(set), metav1.UpdateOptions{})
	if err != nil {
		// Nobody knows whether it has been written. Ask until somebody does.
		c.failures.Add(1)
		for {
			away.Store(time.Now().UnixNano())
			held, err := slices.Get(context.Background(), one.name+"-1", metav1.GetOptions{})
			if err == nil {
				set = read(held)
				break
			}
			if ctx.Err() != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	one.settle(set, time.Now())
	one.set = set
	c.made.Add(1)
}
