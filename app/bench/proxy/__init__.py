"""What the sidecar's benchmarks are made of: a fast upstream, load over HTTP and gRPC, nginx to compare with."""
