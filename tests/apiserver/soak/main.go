// Command soak asks a name server as fast as it answers, while it changes endpoints through the API server, and compares
// each answer with what the API server held within the last second.
//
//	history.go   what the API server held, and when
//	churn.go     the changes
//	questions.go what is asked, and which answers are right
//	ask.go       sockets: questions out, answers in
//	latency.go   instead of all that: how soon a single change shows
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

func main() {
	server := flag.String("server", "127.0.0.1:53", "the name server")
	kubeconfig := flag.String("kubeconfig", "", "of the API server")
	seconds := flag.Int("seconds", 60, "how long")
	changes := flag.Int("changes", 500, "changes of endpoints a second")
	askers := flag.Int("askers", 2, "sockets to ask from, 100 questions under way on each")
	events := flag.Int("events", 0, "do only this: so many changes, one after the other, and how long until each shows")
	flag.Parse()

	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	must(err)
	// Requests that a restart cuts are expected.
	klog.SetOutput(io.Discard)
	klog.LogToStderr(false)
	config.QPS = -1
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.Timeout = 2 * time.Second
	client := kubernetes.NewForConfigOrDie(config)

	churn := prepare(client)
	if *events > 0 {
		latency(churn, *server, *events)
		return
	}
	questions, err := prepareQuestions(client, churn.services)
	must(err)
	// What has been created needs its second, too.
	time.Sleep(time.Second)
	fmt.Println("started")

	ctx, stop := context.WithTimeout(context.Background(), time.Duration(*seconds)*time.Second)
	defer stop()
	var group sync.WaitGroup
	churn.run(ctx, &group, *changes)
	tallies := make([]*tally, *askers)
	for n := range tallies {
		tallies[n] = &tally{}
		group.Add(1)
		go func() {
			defer group.Done()
			ask(ctx, *server, questions, tallies[n], int64(n))
		}()
	}
	go func() {
		for range time.Tick(5 * time.Second) {
			now := sum(tallies)
			fmt.Printf("answered %d, %d changes\n", now.answered.Load(), churn.made.Load())
		}
	}()
	group.Wait()
	all := sum(tallies)
	fmt.Printf("asked %d, answered %d (%.0f a second), lost %d, twice or late %d, wrong %d\n",
		all.asked.Load(), all.answered.Load(), float64(all.answered.Load())/float64(*seconds), all.lost.Load(), all.strays.Load(), all.wrong.Load())
	fmt.Printf("changes %d (%.0f a second), %d met no API server; answers behind by at most %d ms, %d ms in the %s after it was away\n",
		churn.made.Load(), float64(churn.made.Load())/float64(*seconds), churn.failures.Load(),
		all.behind.Load()/1e6, all.recovering.Load()/1e6, recovery)
	if all.lost.Load()+all.wrong.Load() > 0 || all.answered.Load() == 0 {
		os.Exit(1)
	}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
