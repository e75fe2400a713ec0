"""Resumable HTTP downloads with retries."""
