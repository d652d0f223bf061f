#!/bin/sh
if [ "$1" = --version ]; then
  echo "greet 1.0"
else
  echo "Hello ${1:-world} on port ${PORT:-?}"
fi
