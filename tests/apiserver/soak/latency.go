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

// latency changes one Service so many times and tells when a name server has the change: after the write was sent, and after
// the API server replied to it; one that shows it before the reply counts as zero there. The name server is asked again as
// soon as it has answered.
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
	var sent, replied []time.Duration
	for n := range events {
		set := uint32(1) << (n%(most-1) + 1)
		shown := make(chan time.Time)
		go func() {
			for ask() != set {
			}
			shown <- time.Now()
		}()
		start := time.Now()
		_, err := churn.client.DiscoveryV1().EndpointSlices(namespace).Update(context.Background(), one.slice(set), metav1.UpdateOptions{})
		must(err)
		written := time.Now()
		then := <-shown
		sent, replied = append(sent, then.Sub(start)), append(replied, max(0, then.Sub(written)))
		time.Sleep(100 * time.Millisecond)
	}
	slices.Sort(sent)
	slices.Sort(replied)
	fmt.Printf("events %d: sent p50 %.3f max %.3f ms, replied p50 %.3f max %.3f ms\n", events, milliseconds(sent[events/2]),
		milliseconds(sent[events-1]), milliseconds(replied[events/2]), milliseconds(replied[events-1]))
}

func milliseconds(of time.Duration) float64 {
	return float64(of) / 1e6
}
