"""sim/samples"""
