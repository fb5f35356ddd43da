// Reads each byte string as a server's connection with Go's net/http: the requests in it, and whether
// anything in it was no request.
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
)

type result struct {
	Requests [][]string `json:"requests"`
	Whole    bool       `json:"whole"`
}

func read(data []byte) result {
	found := result{Requests: [][]string{}, Whole: true}
	reader := bufio.NewReader(bytes.NewReader(data))
	for {
		if _, err := reader.Peek(1); err == io.EOF {
			return found
		}
		request, err := http.ReadRequest(reader)
		if err != nil {
			found.Whole = false
			return found
		}
		body, err := io.ReadAll(request.Body)
		if err != nil {
			found.Whole = false
			return found
		}
		parts := []string{request.Method, request.RequestURI, request.Host, string(body)}
		for at, part := range parts {
			parts[at] = base64.StdEncoding.EncodeToString([]byte(part))
		}
		found.Requests = append(found.Requests, parts)
	}
}

func main() {
	var all []string
	if err := json.NewDecoder(os.Stdin).Decode(&all); err != nil {
		panic(err)
	}
	results := []result{}
	for _, text := range all {
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			panic(err)
		}
		results = append(results, read(data))
	}
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		panic(err)
	}
}
