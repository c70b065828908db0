"""sim/instruments"""
