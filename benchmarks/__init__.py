"""Speed and memory, measured: ``python -m benchmarks`` (docs/performance.md)."""
