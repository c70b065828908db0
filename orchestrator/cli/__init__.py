"""orchestrator/cli"""
