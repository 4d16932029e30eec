// Command apiserver is the live cluster of `make e2e`: a real kube-apiserver and an embedded etcd in one process,
// on loopback, with RBAC. Its data outlives the process, so that a restart is one.
package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

const token = "admin-token-for-tests"

func main() {
	dir := flag.String("dir", "", "where data, certificates and the kubeconfig go")
	port := flag.Int("port", 16443, "secure port on 127.0.0.1")
	cidr := flag.String("service-cidr", "10.96.0.0/16,fd00:10:96::/112", "service networks")
	etcdPort := flag.Int("etcd-port", 0, "port of the embedded etcd on 127.0.0.1; 0 picks a free one")
	cluster := flag.String("cluster", "", "make a cluster of this size first: services=8000,endpoints=74400,nodes=5000,pods=0,seed=1")
	flag.Parse()
	if *dir == "" {
		log.Fatal("-dir is needed")
	}
	must(os.MkdirAll(*dir, 0o700))
	etcd := startEtcd(*dir, *etcdPort)
	defer etcd.Close()
	if *cluster != "" {
		size, err := parseSize(*cluster)
		must(err)
		must(makeCluster(etcd, *dir, size))
		debug.FreeOSMemory()
	}
	key := serviceAccountKey(*dir)
	tokens := filepath.Join(*dir, "tokens.csv")
	must(os.WriteFile(tokens, []byte(token+",admin,admin,system:masters\n"), 0o600))

	command := app.NewAPIServerCommand()
	command.SetArgs([]string{
		"--etcd-servers=http://" + etcd.Clients[0].Addr().String(),
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", *port),
		"--cert-dir=" + filepath.Join(*dir, "certs"),
		"--service-cluster-ip-range=" + *cidr,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + key,
		"--service-account-signing-key-file=" + key,
		"--token-auth-file=" + tokens,
		"--anonymous-auth=false",
		"--authorization-mode=RBAC",
		// Pods need no ServiceAccount to be created, and no controller runs that would create one.
		"--disable-admission-plugins=ServiceAccount",
		// The slice of default/kubernetes is the tests' own; the reconciler would put this machine's address into it.
		"--endpoint-reconciler-type=none",
		"--allow-privileged=true",
		"--profiling=false",
		"--v=0",
	})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	go announce(*dir, *port)
	go func() {
		<-ctx.Done()
		// The tests kill it in any case; a clean end is a matter of seconds that nobody needs.
		os.Exit(0)
	}()
	must(command.ExecuteContext(ctx))
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func startEtcd(dir string, port int) *embed.Etcd {
	config := embed.NewConfig()
	config.Dir = filepath.Join(dir, "etcd")
	config.LogLevel = "error"
	config.UnsafeNoFsync = true
	config.QuotaBackendBytes = 8 << 30
	// Alone, it need not wait a second for other candidates.
	config.TickMs, config.ElectionMs = 10, 100
	client, peer := loopback(port), loopback(0)
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.ForceNewCluster = exists(filepath.Join(config.Dir, "member"))
	etcd, err := embed.StartEtcd(config)
	must(err)
	<-etcd.Server.ReadyNotify()
	return etcd
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// loopback is the address of a port on 127.0.0.1; 0 picks a free one.
func loopback(port int) url.URL {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	must(err)
	defer listener.Close()
	return url.URL{Scheme: "http", Host: listener.Addr().String()}
}

func serviceAccountKey(dir string) string {
	path := filepath.Join(dir, "service-account.key")
	if exists(path) {
		return path
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	must(os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
	return path
}

// announce waits for the server, writes the kubeconfig and says where it is.
func announce(dir string, port int) {
	server := fmt.Sprintf("https://127.0.0.1:%d", port)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	request, err := http.NewRequest(http.MethodGet, server+"/readyz", nil)
	must(err)
	request.Header.Set("Authorization", "Bearer "+token)
	for {
		response, err := client.Do(request)
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				break
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	ca, err := os.ReadFile(filepath.Join(dir, "certs", "apiserver.crt"))
	must(err)
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: %q, certificate-authority-data: %q}}]
users: [{name: admin, user: {token: %q}}]
contexts: [{name: test, context: {cluster: test, user: admin}}]
current-context: test
`, server, base64.StdEncoding.EncodeToString(ca), token)
	path := filepath.Join(dir, "admin.kubeconfig")
	must(os.WriteFile(path+".new", []byte(text), 0o600))
	must(os.Rename(path+".new", path))
	fmt.Println("ready", server)
}
