# SPDX-License-Identifier: Apache-2.0
"""django_application.py - Django in one file, served by uvicorn (ASGI)

Context: watched program of test_python_web.py
"""

import time

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import JsonResponse
from django.urls import path

import truth

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="none", DEBUG=False)


async def hello(request):
    return JsonResponse({})


async def block(request):
    time.sleep(0.25)  # block


async def answer(request):
    return JsonResponse(await truth.measured(block)(request))


def in_a_thread(request):
    time.sleep(0.25)
    return JsonResponse({})


urlpatterns = [path("", hello), path("block", answer), path("quiet", in_a_thread)]
application = get_asgi_application()
