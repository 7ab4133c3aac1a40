#!/bin/sh
# Give the demo an empty folder: sh scripts/fresh_study.sh FOLDER
# What an earlier demo left (it carries a marker) is removed; anything else is moved aside, never deleted.
set -eu

folder=$1
marker=$folder/.made-by-demo

if [ -e "$marker" ]; then
    rm -rf "$folder"
elif [ -e "$folder" ] && [ -n "$(ls -A "$folder")" ]; then
    number=1
    while [ -e "$folder.$number" ]; do number=$((number + 1)); done
    mv "$folder" "$folder.$number"
    echo "$folder was not made by the demo: moved to $folder.$number"
fi
mkdir -p "$folder"
touch "$marker"
