package main

import (
	"sync"
	"time"
)

// How far an answer may be behind the API server; and until when after the API server was away, as a watch comes back
// only when it tries again.
const (
	patience = time.Second
	recovery = 10 * time.Second
)

// forever is the end of what still holds.
var forever = time.Unix(1<<40, 0)

// version is a set of endpoints, one bit each, that the API server may have held between two moments.
type version struct {
	set         uint32
	from, until time.Time
}

// history is what the API server held of one Service. While a change is under way, the old and the new are both right.
type history struct {
	lock     sync.Mutex
	versions []version
}

// begin notes that a change is about to be sent.
func (h *history) begin(set uint32, now time.Time) {
	h.lock.Lock()
	defer h.lock.Unlock()
	keep := 0
	for _, one := range h.versions {
		if one.until.After(now.Add(-30 * time.Second)) {
			h.versions[keep] = one
			keep++
		}
	}
	h.versions = append(h.versions[:keep], version{set, now, forever})
}

// settle notes that the API server holds this set now, and no other.
func (h *history) settle(set uint32, now time.Time) {
	h.lock.Lock()
	defer h.lock.Unlock()
	for n := range h.versions {
		one := &h.versions[n]
		if one.until == forever && (one.set != set || n != len(h.versions)-1) {
			one.until = now
		}
	}
	last := &h.versions[len(h.versions)-1]
	if last.set != set {
		h.versions = append(h.versions, version{set, now.Add(-patience), forever})
	}
}

// judge says how far an answer to a question is behind what the API server held, and whether it ever held it.
func (h *history) judge(set uint32, asked, answered time.Time) (behind time.Duration, held bool) {
	h.lock.Lock()
	defer h.lock.Unlock()
	for n := len(h.versions) - 1; n >= 0; n-- {
		one := h.versions[n]
		if one.set == set && !one.from.After(answered) {
			return max(0, asked.Sub(one.until)), true
		}
	}
	return 0, false
}
