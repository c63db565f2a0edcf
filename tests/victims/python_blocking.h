/* SPDX-License-Identifier: Apache-2.0
 *
 * python_blocking.h - the extension `blocking` as a program that embeds Python brings it along
 *
 * Context: watched programs of test_python.py
 */
#ifndef LOOPDOG_TESTS_PYTHON_BLOCKING_H
#define LOOPDOG_TESTS_PYTHON_BLOCKING_H

#include <Python.h>

PyMODINIT_FUNC PyInit_blocking(void);

#endif
