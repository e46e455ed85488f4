"""People and machines told apart, with the reason."""

from linkrouter.insight.robots.judge import judge_message
from linkrouter.insight.robots.observed import REASONS, RULES_VERSION, Judgement, ObservedClick, RobotLabel

__all__ = ["REASONS", "RULES_VERSION", "Judgement", "ObservedClick", "RobotLabel", "judge_message"]
