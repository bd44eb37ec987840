"""For teachers: lessons of 90 minutes, a concept test, a bundle to carry, an edition without solutions.

======================  ==================================================================
:mod:`.lessons`         the six lessons of ``lessons.yml``: notebook, slides and handout
:mod:`.concepts`        the concept test of ``concept-test.yml``: sheet, key, and the gain
:mod:`.copies`          copies of the course: a bundle to carry, an edition without solutions
``hub/``                a recipe for JupyterHub, and a container file
======================  ==================================================================
"""
