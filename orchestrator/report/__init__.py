"""orchestrator/report"""
