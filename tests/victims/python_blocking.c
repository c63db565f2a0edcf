/* SPDX-License-Identifier: Apache-2.0
 *
 * python_blocking.c - a Python extension that blocks with and without the interpreter's lock
 *
 * A loop whose own thread is in C with the lock held stops every thread of the program, watchdogs written in Python
 * included. `call` lets Python, C and Python stand on one stack.
 *
 * Context: watched extension of test_python.py; also a part of python_embedded
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <time.h>

#include "python_blocking.h"
#include "truth.h"

VICTIM_FRAME static void compute(double seconds)
{
        struct timespec begin, now;
        clock_gettime(CLOCK_MONOTONIC, &begin);
        do
                clock_gettime(CLOCK_MONOTONIC, &now);
        while ((double)(now.tv_sec - begin.tv_sec) + (double)(now.tv_nsec - begin.tv_nsec) / 1e9 < seconds);
}

VICTIM_FRAME static void pause_for(double seconds)
{
        struct timespec duration = { .tv_sec = 0, .tv_nsec = (long)(seconds * 1e9) };
        nanosleep(&duration, NULL);
}

/* busy(seconds): computes, the lock held. */
VICTIM_FRAME static PyObject *blocking_busy(PyObject *module, PyObject *seconds)
{
        compute(PyFloat_AsDouble(seconds));
        Py_RETURN_NONE;
}

/* sleep(seconds): sleeps, the lock held. */
VICTIM_FRAME static PyObject *blocking_sleep(PyObject *module, PyObject *seconds)
{
        pause_for(PyFloat_AsDouble(seconds));
        Py_RETURN_NONE;
}

/* busy_released(seconds): computes without the lock. */
VICTIM_FRAME static PyObject *blocking_busy_released(PyObject *module, PyObject *seconds)
{
        double number = PyFloat_AsDouble(seconds);
        Py_BEGIN_ALLOW_THREADS;
        compute(number);
        Py_END_ALLOW_THREADS;
        Py_RETURN_NONE;
}

/* call(function): calls it. */
VICTIM_FRAME static PyObject *blocking_call(PyObject *module, PyObject *function)
{
        PyObject *result = PyObject_CallObject(function, NULL);
        __asm__ volatile("" : : : "memory");
        return result;
}

static PyMethodDef methods[] = {
        { "busy", blocking_busy, METH_O, NULL },
        { "sleep", blocking_sleep, METH_O, NULL },
        { "busy_released", blocking_busy_released, METH_O, NULL },
        { "call", blocking_call, METH_O, NULL },
        { NULL, NULL, 0, NULL },
};

static struct PyModuleDef definition = {
        PyModuleDef_HEAD_INIT,
        .m_name = "blocking",
        .m_size = -1,
        .m_methods = methods,
};

PyMODINIT_FUNC PyInit_blocking(void)
{
        return PyModule_Create(&definition);
}
