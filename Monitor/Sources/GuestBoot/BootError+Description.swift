import GuestMemory
import LinuxCalls

extension BootError: CustomStringConvertible {
    /// What, which, why, and what would do; to be put behind the name of the file or field by whoever knows it.
    public var description: String {
        switch self {
        case .kernelUnreadable(let error): "the kernel image cannot be read: \(error)"
        case .kernelEmpty: "the kernel image is empty; give an x86-64 vmlinux (ELF) or bzImage"
        case .kernelFormatUnknown(let format):
            "the kernel image is neither an ELF file nor a bzImage; it looks like \(format.words)"
        case .kernelTruncated(let part, let needed, let actual):
            "the kernel image is cut off: its \(part.words) goes to byte \(needed), the file has \(actual); copy it again"
        case .kernelForOtherProcessor(let machine):
            "the kernel image is for \(processorWords(machine)); give one for x86-64"
        case .kernelFor32Bit(.elf): "the kernel image is a 32-bit ELF file; give a 64-bit one"
        case .kernelFor32Bit(.bzImage):
            "the bzImage has no 64-bit entry; give a kernel built with CONFIG_X86_64, of Linux 3.8 or later"
        case .kernelMalformed(let defect): "the kernel image cannot be loaded: \(defect.words)"
        case .kernelTooLarge(let needed, let memory):
            """
            the kernel needs memory up to \(mebibytes(needed)) MiB, the machine has \(memory / mebibyte) MiB below the \
            devices; give the machine more memory or a smaller kernel
            """
        case .protocolUnavailable(.pvh, _):
            "the kernel image has no PVH entry; boot it by the 64-bit protocol or build it with CONFIG_PVH"
        case .protocolUnavailable(.linux64, _):
            "the kernel image cannot be booted by the 64-bit protocol"
        case .initialRamDiskUnreadable(let index, let error):
            "initial RAM disk \(index + 1) cannot be read: \(error)"
        case .initialRamDiskTruncated(let index):
            "initial RAM disk \(index + 1) became shorter while it was read"
        case .initialRamDiskTooLarge(let bytes, let available, let memory):
            """
            the initial RAM disk has \(bytes) bytes, but beside the kernel \(available) are free (memory: \
            \(memory / mebibyte) MiB); give the machine more memory or a smaller initial RAM disk
            """
        case .commandLineTooLong(let bytes, let maximum):
            "the kernel command line has \(bytes) bytes, devices included; this kernel takes at most \(maximum)"
        case .commandLineHasZeroByte: "the kernel command line has a zero byte in it; remove it"
        case .memoryTooSmall(let bytes):
            "\(bytes / mebibyte) MiB of memory are too few to boot anything; give the machine at least 2 MiB"
        case .processorCountUnsupported(let count): "\(count) processors are not supported; 1 to 32 are"
        case .tooManyDevices(let count): "\(count) devices do not fit the ACPI tables; use fewer"
        case .guestMemory(.outOfRange(let address, let length)):
            "\(length) bytes at \(hexadecimal(address.value)) are not in guest memory"
        case .guestMemory(.misaligned(let address)): "\(hexadecimal(address.value)) in guest memory is not aligned"
        case .guestMemory(.tooManyVectors): "too many pieces of guest memory"
        }
    }
}

extension KernelPart {
    var words: String {
        switch self {
        case .header: "header"
        case .programHeaders: "program header table"
        case .segment(let index): "segment \(index)"
        case .setupCode: "setup code"
        case .protectedModeCode: "kernel code"
        }
    }
}

extension KernelDefect {
    var words: String {
        switch self {
        case .bigEndian: "it is a big-endian ELF file; give one for x86-64"
        case .notExecutable(1): "it is a relocatable object, perhaps a kernel module; give the vmlinux itself"
        case .notExecutable(4): "it is a core dump; give the vmlinux itself"
        case .notExecutable(let type): "it is an ELF file of type \(type), not an executable one"
        case .programHeaderSize(let size): "its program headers have \(size) bytes each, not 56"
        case .programHeaderCount(let count): "it has \(count) program headers; 1 to 64 are possible"
        case .needsInterpreter: "it is a program for an operating system, not a kernel"
        case .noSegments: "it has no segment to load"
        case .segmentLongerInFile(let index): "segment \(index) is longer in the file than in memory"
        case .segmentWrapsAround(let index): "segment \(index) goes beyond the end of the address space"
        case .segmentTooLow(let index, let address):
            "segment \(index) would lie at \(hexadecimal(address)); kernels lie at 0x100000 and above"
        case .segmentsOverlap(let first, let second): "segments \(first) and \(second) overlap"
        case .entryOutside(let address): "its entry \(hexadecimal(address)) lies outside of its segments"
        case .protocolTooOld(let version):
            "its boot protocol is \(version >> 8).\(version & 0xff); 2.12 or later (Linux 3.8) is needed"
        case .loadsLow: "it is a zImage, which loads below 1 MiB; build a bzImage"
        case .alignment(let alignment): "its alignment \(hexadecimal(UInt64(alignment))) is no power of two"
        case .loadAddress(let address): "its load address \(hexadecimal(address)) is not possible"
        case .sizes: "its header gives sizes that contradict each other"
        }
    }
}

private let mebibyte: UInt64 = 1 << 20

/// Rounded up.
private func mebibytes(_ bytes: UInt64) -> UInt64 { bytes / mebibyte + (bytes % mebibyte == 0 ? 0 : 1) }

func hexadecimal(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }

private func processorWords(_ machine: UInt16) -> String {
    switch machine {
    case 3: "32-bit x86"
    case 20, 21: "PowerPC"
    case 22: "s390"
    case 40: "32-bit ARM"
    case 183: "arm64"
    case 243: "RISC-V"
    case 258: "LoongArch"
    default: "processor number \(machine)"
    }
}
