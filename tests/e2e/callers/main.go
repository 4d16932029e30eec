// Asks a question over QUIC, HTTP/3 or gRPC with other people's code, and prints response code and answers.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/coredns/coredns/pb"
	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

func main() {
	if len(os.Args) != 5 {
		fail(fmt.Errorf("usage: callers doq|h3|grpc ADDRESS CA NAME"))
	}
	way, address, ca, name := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	pem, err := os.ReadFile(ca)
	fail(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	trust := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
	query := new(dns.Msg)
	query.SetQuestion(dns.Fqdn(name), dns.TypeA)
	query.Id = 0
	packed, err := query.Pack()
	fail(err)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	ask := map[string]func(context.Context, string, *tls.Config, []byte) ([]byte, error){
		"doq": overQuic, "h3": overHTTP3, "grpc": overGRPC,
	}[way]
	answer, err := ask(ctx, address, trust, packed)
	fail(err)
	reply := new(dns.Msg)
	fail(reply.Unpack(answer))
	fmt.Println(dns.RcodeToString[reply.Rcode])
	for _, record := range reply.Answer {
		fmt.Println(record)
	}
}

func overQuic(ctx context.Context, address string, trust *tls.Config, query []byte) ([]byte, error) {
	trust.NextProtos = []string{"doq"}
	connection, err := quic.DialAddr(ctx, address, trust, nil)
	if err != nil {
		return nil, err
	}
	defer connection.CloseWithError(0, "")
	stream, err := connection.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	if _, err = stream.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)); err != nil {
		return nil, err
	}
	stream.Close()
	answer, err := io.ReadAll(stream)
	if err == nil && (len(answer) < 2 || int(binary.BigEndian.Uint16(answer)) != len(answer)-2) {
		err = fmt.Errorf("%d octets that are no frame", len(answer))
	}
	if err != nil {
		return nil, err
	}
	return answer[2:], nil
}

func overHTTP3(ctx context.Context, address string, trust *tls.Config, query []byte) ([]byte, error) {
	transport := &http3.Transport{TLSClientConfig: trust}
	defer transport.Close()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+address+"/dns-query", bytes.NewReader(query))
	if err != nil {
		return nil, err
	}
	request.Header.Set("content-type", "application/dns-message")
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s", response.Status)
	}
	return io.ReadAll(response.Body)
}

func overGRPC(ctx context.Context, address string, trust *tls.Config, query []byte) ([]byte, error) {
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(trust)))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	packet, err := pb.NewDnsServiceClient(connection).Query(ctx, &pb.DnsPacket{Msg: query})
	return packet.GetMsg(), err
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
