"""HTTP to a platform: client, retries, errors, address checks, prefetching and health checks."""
