"""orchestrator/profile"""
