# ruff: noqa - a block of a document, not a module
"""Makes a system call by the 32-bit gate, which has other numbers."""

import ctypes
import mmap

code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # mov eax, 20 (getpid); int 0x80; ret
address = ctypes.addressof(ctypes.c_char.from_buffer(code))
print("BREACH", ctypes.CFUNCTYPE(ctypes.c_long)(address)())
