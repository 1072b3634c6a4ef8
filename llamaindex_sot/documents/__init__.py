"""Answers from a folder of documents: read, embedded, kept in a vector database on disk, cited."""
