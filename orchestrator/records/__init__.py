"""orchestrator/records"""
