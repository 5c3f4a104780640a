"""Customers, products, orders and tickets: the port that tools use, and its Postgres adapter."""

from tools._crm.port import Crm
from tools._crm.postgres import PostgresCrm

__all__ = ["Crm", "PostgresCrm"]
