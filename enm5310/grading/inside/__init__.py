"""What runs in the sandbox, beside the student's code: the standard library, numpy, autograd, matplotlib and IPython.

    wire        frames of bytes; with the next two, the one thing that the trusted side uses, too
    plain       plain data as JSON and blobs
    effigies    what stands for an answer that is not plain data
    given       functions and other objects that the trusted side hands over
    zygote      a process that has imported everything heavy and forks one child per student
    walls       what shuts a child in: namespaces, private folder, descriptors, limits
    landlock, seccomp   two of these walls, by system calls
    alone       the same for one student, over pipes, where there is no fork
    child       runs cells in an IPython shell and answers calls
    shell       that shell: it catches outputs, and has neither keyboard nor commands
    masks       the library without the answers, and without the checks

The folder is the package ``inside`` there: nothing of ``enm5310`` is imported before the student's code asks for it.
"""
