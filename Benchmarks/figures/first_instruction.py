"""Kernels whose first instructions write one byte to the serial port and halt, to see when a guest begins to run.

The code is the same in 32-bit protected mode (PVH) and in 64-bit mode:
    mov $0x3f8, %dx;  mov $MARK, %al;  out %al, %dx;  1: hlt;  jmp 1b
"""
import struct

# No text of a monitor has this byte.
INSTRUCTION_MARK = b"\x01"
CODE = b"\x66\xba\xf8\x03" + b"\xb0" + INSTRUCTION_MARK + b"\xee" + b"\xf4\xeb\xfd"
PVH_ENTRY_NOTE = 18  # XEN_ELFNOTE_PHYS32_ENTRY


def write_tiny_kernel(path):
    """An ELF file with one page to load, at 16 MiB."""
    address = 0x100_0000
    # Source: System V ABI, ELF-64 object file format: file header (64 bytes), program header (56 bytes).
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, address, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0x1000, address, address, len(CODE), len(CODE), 0x1000)
    with open(path, "wb") as file:
        file.write((header + segment).ljust(0x1000, b"\0") + CODE)


def replace_first_instruction(source, path):
    """A copy of a kernel that is loaded as the kernel is, but stops at its entry points."""
    with open(source, "rb") as file:
        image = bytearray(file.read())
    entry, headers = struct.unpack_from("<QQ", image, 24)
    count, = struct.unpack_from("<H", image, 56)
    segments = [struct.unpack_from("<IIQQQQQQ", image, headers + 56 * number) for number in range(count)]
    entries = [entry]
    for kind, _, offset, _, _, length, _, _ in segments:
        if kind == 4:
            entries += pvh_entries(image[offset:offset + length])
    for address in entries:
        for kind, _, offset, _, physical, length, _, _ in segments:
            if kind == 1 and physical <= address < physical + length:
                place = offset + address - physical
                image[place:place + len(CODE)] = CODE
    with open(path, "wb") as file:
        file.write(image)


def pvh_entries(notes):
    """The addresses that notes name: sizes of name and description, type, then both, each padded to four bytes."""
    found, place = [], 0
    while place + 12 <= len(notes):
        name, description, kind = struct.unpack_from("<III", notes, place)
        content = place + 12 + (name + 3) // 4 * 4
        if kind == PVH_ENTRY_NOTE and notes[place + 12:place + 15] == b"Xen":
            found.append(int.from_bytes(notes[content:content + description], "little"))
        place = content + (description + 3) // 4 * 4
    return found
