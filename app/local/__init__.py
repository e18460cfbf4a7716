"""Everything on this machine: processes, ports, brokers."""
