"""orchestrator/analysis"""
