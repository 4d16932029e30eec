package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand"
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"
)

const (
	window = 100             // questions under way on a socket
	lost   = 5 * time.Second // as long as dnsperf waits
	batch  = 32
)

// tally counts what has come back.
type tally struct {
	asked, answered, lost, strays, wrong atomic.Int64
	// Nanoseconds behind at most: as a rule, and while the watch came back from a restart of the API server.
	behind, recovering atomic.Int64
}

func sum(tallies []*tally) *tally {
	all := &tally{}
	for _, one := range tallies {
		all.asked.Add(one.asked.Load())
		all.answered.Add(one.answered.Load())
		all.lost.Add(one.lost.Load())
		all.strays.Add(one.strays.Load())
		all.wrong.Add(one.wrong.Load())
		all.behind.Store(max(all.behind.Load(), one.behind.Load()))
		all.recovering.Store(max(all.recovering.Load(), one.recovering.Load()))
	}
	return all
}

// slot is a question under way. The id of its packet is its number and how often it has been used.
type slot struct {
	question *question
	asked    time.Time
	id       uint16
}

// ask keeps a window of questions under way until the context ends, and waits for the last answers.
func ask(ctx context.Context, server string, all questions, tally *tally, seed int64) {
	address, err := net.ResolveUDPAddr("udp4", server)
	must(err)
	socket, err := net.DialUDP("udp4", nil, address)
	must(err)
	defer socket.Close()
	batches := ipv4.NewPacketConn(socket)
	random := rand.New(rand.NewSource(seed))
	slots := make([]slot, window)
	free := make([]uint16, 0, window)
	for n := range slots {
		slots[n].id = uint16(n)
		free = append(free, uint16(n))
	}
	in, out := letters(batch), letters(batch)
	var turn int
	var read reply
	for {
		if ctx.Err() != nil && len(free) == window {
			return
		}
		count := 0
		for now := time.Now(); ctx.Err() == nil && len(free) > 0 && count < batch; count++ {
			one := &slots[free[len(free)-1]]
			free = free[:len(free)-1]
			list := all[turn%len(all)]
			turn++
			one.question, one.asked = list[random.Intn(len(list))], now
			one.id += window
			if one.id/window >= 65000/window {
				one.id %= window
			}
			text := append(out[count].Buffers[0][:0], one.question.packet...)
			binary.BigEndian.PutUint16(text, one.id)
			out[count].Buffers[0] = text
		}
		for sent := 0; sent < count; {
			n, err := batches.WriteBatch(out[sent:count], 0)
			if err != nil {
				fmt.Println("send:", err)
				time.Sleep(time.Millisecond)
			}
			sent += max(n, 0)
		}
		tally.asked.Add(int64(count))
		must(socket.SetReadDeadline(time.Now().Add(100 * time.Millisecond)))
		for n := range in {
			in[n].Buffers[0] = in[n].Buffers[0][:cap(in[n].Buffers[0])]
		}
		got, err := batches.ReadBatch(in, 0)
		now := time.Now()
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			fmt.Println("receive:", err)
		}
		for n := range max(got, 0) {
			packet := in[n].Buffers[0][:in[n].N]
			if len(packet) < 12 {
				tally.wrong.Add(1)
				continue
			}
			id := binary.BigEndian.Uint16(packet)
			one := &slots[id%window]
			if one.question == nil || one.id != id {
				tally.strays.Add(1)
				continue
			}
			tally.judge(one, packet, &read, now)
			one.question = nil
			free = append(free, id%window)
		}
		for n := range slots {
			if got <= 0 && slots[n].question != nil && now.Sub(slots[n].asked) > lost {
				tally.lost.Add(1)
				fmt.Printf("lost: %q\n", slots[n].question.packet[12:])
				slots[n].question = nil
				free = append(free, uint16(n))
			}
		}
	}
}

func (t *tally) judge(one *slot, packet []byte, read *reply, now time.Time) {
	t.answered.Add(1)
	asked := one.question.packet
	section := asked[12 : len(asked)-11]
	complaint := ""
	var behind time.Duration
	if packet[2]&0x80 == 0 || !bytes.HasPrefix(packet[12:], section) {
		complaint = "not an answer to this question"
	} else if err := readReply(packet, read); err != nil {
		complaint = err.Error()
	} else {
		behind, complaint = one.question.check(read, one.asked, now)
	}
	most := &t.behind
	if now.UnixNano() < away.Load()+int64(recovery) {
		most = &t.recovering
	}
	if int64(behind) > most.Load() {
		most.Store(int64(behind))
	}
	if complaint != "" && t.wrong.Add(1) <= 10 {
		fmt.Printf("wrong at %s: %q: %s; rcode %d %v %v\n", now.Format("15:04:05.000"), section, complaint, read.rcode, read.addresses, read.names)
	}
}

func letters(count int) []ipv4.Message {
	all := make([]ipv4.Message, count)
	for n := range all {
		all[n].Buffers = [][]byte{make([]byte, 4096)}
	}
	return all
}
