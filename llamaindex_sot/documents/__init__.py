"""Answers from a folder of documents: read, embedded, kept in a vector database on disk, cited.

To read it: `folder` answers and keeps the index; `files` says which files of a folder are documents; `reading` makes
chunks of them, with `encodings` (bytes to text), `markup` (HTML, CSV, Word) and `pdf`; `embedding` is the packaged
model; `vectors` keeps chunks and vectors up to date in `places`; `progress` is what a watcher is told.
"""
