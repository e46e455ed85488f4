"""What clicks tell: agent, place, and whether a person or a machine made them. Pure functions, below central."""

from linkrouter.insight.agent import Agent, Platform, describe_agent, has_fast_agent_parser
from linkrouter.insight.geofile import Attribution, Place
from linkrouter.insight.networks import NetworkKind, Networks
from linkrouter.insight.place import Places
from linkrouter.insight.robots import REASONS, RULES_VERSION, Judgement, ObservedClick, RobotLabel, judge_message

__all__ = [
    "REASONS",
    "RULES_VERSION",
    "Agent",
    "Attribution",
    "Judgement",
    "NetworkKind",
    "Networks",
    "ObservedClick",
    "Place",
    "Places",
    "Platform",
    "RobotLabel",
    "describe_agent",
    "has_fast_agent_parser",
    "judge_message",
]
