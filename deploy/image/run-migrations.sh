#!/usr/bin/env bash
# What older manifests call in their init container. The statements are built into migrate-init; MIGRATION_DIR is not read.
exec migrate-init "$@"
