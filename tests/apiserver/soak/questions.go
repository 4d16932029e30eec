package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	typeA, typePTR, typeAAAA, typeSRV = 1, 12, 28, 33
	noError, nxDomain                 = 0, 3
)

// question is a packet and the answers to it that are right.
type question struct {
	packet []byte
	check  func(reply *reply, asked, answered time.Time) (behind time.Duration, complaint string)
}

// newQuestion asks with EDNS.
func newQuestion(name string, kind uint16) *question {
	packet := []byte{0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1}
	for _, label := range strings.Split(name, ".") {
		packet = append(append(packet, byte(len(label))), label...)
	}
	packet = append(packet, 0, byte(kind>>8), byte(kind), 0, 1)
	// Room for 1,232 octets.
	packet = append(packet, 0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0)
	return &question{packet: packet}
}

// reply is an answer section, read: addresses, or names in presentation form.
type reply struct {
	rcode     int
	truncated bool
	addresses []netip.Addr
	names     []string
}

// readReply fails for what is no DNS message.
func readReply(packet []byte, into *reply) error {
	into.rcode = int(packet[3] & 15)
	into.truncated = packet[2]&2 != 0
	into.addresses, into.names = into.addresses[:0], into.names[:0]
	at, err := skipName(packet, 12)
	at += 4
	for range binary.BigEndian.Uint16(packet[6:]) {
		if err == nil {
			at, err = skipName(packet, at)
		}
		if err != nil || at+10 > len(packet) {
			return fmt.Errorf("cut short")
		}
		kind, length := binary.BigEndian.Uint16(packet[at:]), int(binary.BigEndian.Uint16(packet[at+8:]))
		at += 10
		if at+length > len(packet) {
			return fmt.Errorf("cut short")
		}
		switch kind {
		case typeA, typeAAAA:
			address, _ := netip.AddrFromSlice(packet[at : at+length])
			into.addresses = append(into.addresses, address)
		case typePTR:
			into.names = append(into.names, readName(packet, at))
		case typeSRV:
			into.names = append(into.names, readName(packet, at+6))
		}
		at += length
	}
	return err
}

func skipName(packet []byte, at int) (int, error) {
	for at < len(packet) {
		switch length := int(packet[at]); {
		case length == 0:
			return at + 1, nil
		case length >= 0xc0:
			return at + 2, nil
		default:
			at += length + 1
		}
	}
	return at, fmt.Errorf("cut short")
}

func readName(packet []byte, at int) string {
	var name strings.Builder
	for hops := 0; at+1 < len(packet) && packet[at] != 0 && hops < 40; hops++ {
		if packet[at] >= 0xc0 {
			at = int(packet[at]&0x3f)<<8 | int(packet[at+1])
			continue
		}
		end := min(at+1+int(packet[at]), len(packet))
		name.Write(packet[at+1 : end])
		name.WriteByte('.')
		at = end
	}
	return name.String()
}

// questions has what is asked: one kind of each list in turn.
type questions [][]*question

func prepareQuestions(client kubernetes.Interface, changing []*target) (questions, error) {
	ctx := context.Background()
	services, err := client.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	slices, err := client.DiscoveryV1().EndpointSlices("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	endpoints := map[string][]netip.Addr{}
	for _, slice := range slices.Items {
		key := slice.Namespace + "/" + slice.Labels["kubernetes.io/service-name"]
		for _, endpoint := range slice.Endpoints {
			if endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready {
				endpoints[key] = append(endpoints[key], netip.MustParseAddr(endpoint.Addresses[0]))
			}
		}
	}
	var still, missing, reverse, sets, ports, outside []*question
	for _, service := range services.Items {
		if service.Namespace == namespace {
			continue
		}
		name := service.Name + "." + service.Namespace + ".svc.cluster.local"
		right := endpoints[service.Namespace+"/"+service.Name]
		if service.Spec.ClusterIP != "None" {
			address := netip.MustParseAddr(service.Spec.ClusterIP)
			right = []netip.Addr{address}
			b := address.As4()
			one := newQuestion(fmt.Sprintf("%d.%d.%d.%d.in-addr.arpa", b[3], b[2], b[1], b[0]), typePTR)
			one.check = isName(name + ".")
			reverse = append(reverse, one)
		}
		one := newQuestion(name, typeA)
		one.check = isAddresses(right)
		six := newQuestion(name, typeAAAA)
		six.check = isAddresses(nil)
		none := newQuestion("no-"+name, typeA)
		none.check = isMissing
		still, missing = append(still, one, six), append(missing, none)
	}
	for _, one := range changing {
		name := one.name + "." + namespace + ".svc.cluster.local"
		a, srv := newQuestion(name, typeA), newQuestion("_peer._tcp."+name, typeSRV)
		a.check, srv.check = one.isSet, one.isTargets
		sets, ports = append(sets, a), append(ports, srv)
	}
	for n := range 1000 {
		one := newQuestion(fmt.Sprintf("h%d.example.org", n), typeA)
		one.check = isAddresses([]netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, 1})})
		outside = append(outside, one)
	}
	// Two of eight questions are about what changes, and one about its ports.
	return questions{still, sets, still, missing, reverse, sets, ports, outside}, nil
}

type check = func(*reply, time.Time, time.Time) (time.Duration, string)

func isAddresses(right []netip.Addr) check {
	set := map[netip.Addr]bool{}
	for _, one := range right {
		set[one] = true
	}
	return func(reply *reply, _, _ time.Time) (time.Duration, string) {
		whole := len(reply.addresses) == len(set) || reply.truncated && len(reply.addresses) < len(set)
		for _, one := range reply.addresses {
			whole = whole && set[one]
		}
		// A headless Service without endpoints has no name of its own.
		if !whole || reply.rcode != noError && len(set) > 0 {
			return 0, fmt.Sprintf("want %d addresses %v", len(set), right)
		}
		return 0, ""
	}
}

func isName(right string) check {
	return func(reply *reply, _, _ time.Time) (time.Duration, string) {
		if len(reply.names) != 1 || reply.names[0] != right {
			return 0, "want " + right
		}
		return 0, ""
	}
}

func isMissing(reply *reply, _, _ time.Time) (time.Duration, string) {
	if reply.rcode != nxDomain || len(reply.addresses) > 0 {
		return 0, "want NXDOMAIN"
	}
	return 0, ""
}

// isSet compares addresses 10.64.NUMBER.BIT.
func (t *target) isSet(reply *reply, asked, answered time.Time) (time.Duration, string) {
	set := uint32(0)
	for _, address := range reply.addresses {
		b := address.As4()
		if b[0] != 10 || b[1] != 64 || int(b[2]) != t.number || set>>b[3]&1 == 1 {
			return 0, "an address of another, or one twice"
		}
		set |= 1 << b[3]
	}
	return t.isHeld(set, asked, answered)
}

// isTargets compares the hosts of a port: SET-BIT.SET.soak.svc.cluster.local.
func (t *target) isTargets(reply *reply, asked, answered time.Time) (time.Duration, string) {
	if reply.truncated {
		return 0, ""
	}
	set := uint32(0)
	for _, name := range reply.names {
		var number, bit, of int
		_, err := fmt.Sscanf(name, "set-%d-%d.set-%d.soak.svc.cluster.local.", &number, &bit, &of)
		if err != nil || number != t.number || of != t.number || set>>bit&1 == 1 {
			return 0, "a target of another, or one twice"
		}
		set |= 1 << bit
	}
	return t.isHeld(set, asked, answered)
}

func (t *target) isHeld(set uint32, asked, answered time.Time) (time.Duration, string) {
	behind, held := t.judge(set, asked, answered)
	switch {
	case !held:
		return 0, fmt.Sprintf("the API server never held %024b of %s", set, t.name)
	case behind > patience && answered.UnixNano() > away.Load()+int64(recovery):
		return behind, fmt.Sprintf("%s is %s behind", t.name, behind)
	default:
		return behind, ""
	}
}
