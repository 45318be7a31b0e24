#!/usr/bin/env bash
# What older manifests call to start the service.
exec worker serve "$@"
