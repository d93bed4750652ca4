"""Users known by their e-mail and a UUID, and conversations with a column of the site."""

import uuid

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models

from novasonic.contrib.django.models import (
    AbstractConversation,
    AbstractToolCall,
    AbstractTurn,
    AbstractUsageRecord,
)


class Person(AbstractBaseUser, PermissionsMixin):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    email = models.EmailField(unique=True)
    is_staff = models.BooleanField(default=False)

    objects = BaseUserManager()
    USERNAME_FIELD = "email"


class Conversation(AbstractConversation):
    topic = models.CharField(max_length=50, default="none yet")


class Turn(AbstractTurn):
    rating = models.PositiveSmallIntegerField(default=0)


class ToolCall(AbstractToolCall):
    pass


class UsageRecord(AbstractUsageRecord):
    pass
