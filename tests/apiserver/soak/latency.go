package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// latency changes one Service so many times and tells how long after the API server's reply a name server has the change.
// The name server is asked again as soon as it has answered; one that answers before the API server counts as zero.
func latency(churn *churn, server string, events int) {
	one := churn.services[0]
	socket, err := net.Dial("udp4", server)
	must(err)
	question := newQuestion(one.name+"."+namespace+".svc.cluster.local", typeA)
	ask := func() uint32 {
		var buffer [1500]byte
		var read reply
		for {
			binary.BigEndian.PutUint16(question.packet, uint16(time.Now().UnixNano()))
			_, err := socket.Write(question.packet)
			must(err)
			must(socket.SetReadDeadline(time.Now().Add(time.Second)))
			length, err := socket.Read(buffer[:])
			if err != nil || buffer[0] != question.packet[0] || buffer[1] != question.packet[1] {
				continue
			}
			must(readReply(buffer[:length], &read))
			set := uint32(0)
			for _, address := range read.addresses {
				set |= 1 << address.As4()[3]
			}
			return set
		}
	}
	for ask() != one.set {
		time.Sleep(10 * time.Millisecond)
	}
	var taken []time.Duration
	for n := range events {
		set := uint32(1) << (n%(most-1) + 1)
		shown := make(chan time.Time)
		go func() {
			for ask() != set {
			}
			shown <- time.Now()
		}()
		_, err := churn.client.DiscoveryV1().EndpointSlices(namespace).Update(context.Background(), one.slice(set), metav1.UpdateOptions{})
		must(err)
		written := time.Now()
		taken = append(taken, max(0, (<-shown).Sub(written)))
		time.Sleep(100 * time.Millisecond)
	}
	slices.Sort(taken)
	fmt.Printf("events %d: p50 %.3f ms, max %.3f ms\n", events, milliseconds(taken[events/2]), milliseconds(taken[events-1]))
}

func milliseconds(of time.Duration) float64 {
	return float64(of) / 1e6
}
