"""devices/bridge"""
