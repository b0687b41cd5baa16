import Glibc
import LinuxCalls
import Testing

@testable import EmulatedHost

@Suite struct KVMProbeTests {
    @Test func theVerdictComesInMilliseconds() {
        let begin = Clock.monotonic.nanoseconds()
        let verdict = KVMProbe.verdict()
        let milliseconds = (Clock.monotonic.nanoseconds() - begin) / 1_000_000
        print("KVM: \(verdict.finding), found in \(milliseconds) ms")
        // The bound is for a machine under heavy load; `make bench` prints the real figure.
        #expect(milliseconds < 2000)
        #expect(verdict != .hangs)
        #expect(verdict.isUsable == (verdict.advice == nil))
    }

    @Test func manyProbesAtOnceAgreeAndLeaveNoDescriptor() async throws {
        await withTaskGroup(of: KVMVerdict.self) { group in
            for _ in 0..<8 { group.addTask { KVMProbe.verdict() } }
            var usable: Set<Bool> = []
            for await verdict in group { usable.insert(verdict.isUsable) }
            #expect(usable.count == 1)
        }
        // The probes' threads, and another test's, may still be closing theirs.
        waitWhile { !openKVMFiles().isEmpty }
        #expect(openKVMFiles() == [])
    }

    @Test func anEmulatedProcessorIsKnownByItsName() {
        #expect(KVMProbe.processorIsEmulated("processor\t: 0\nmodel name\t: QEMU TCG CPU version 2.5+\n"))
        #expect(!KVMProbe.processorIsEmulated("model name\t: AMD EPYC\nflags\t: QEMU TCG\n"))
        #expect(!KVMProbe.processorIsEmulated(""))
    }

    @Test func theProcessorsFlagsAreReadAsWords() {
        #expect(KVMProbe.processorHasVirtualisation("processor\t: 0\nflags\t\t: fpu svm sse\n"))
        #expect(KVMProbe.processorHasVirtualisation("flags\t\t: vmx\n"))
        #expect(!KVMProbe.processorHasVirtualisation("flags\t\t: fpu vmxnet svm_lock\n"))
        #expect(!KVMProbe.processorHasVirtualisation(""))
    }

    @Test func everyVerdictThatIsNotUsableSaysWhatToDo() {
        let verdicts: [KVMVerdict] = [
            .emulatesKernelMode(picosecondsPerInstruction: 1_100_000), .missing(processorHasVirtualisation: true),
            .missing(processorHasVirtualisation: false), .notPermitted(group: "kvm"), .notPermitted(group: nil),
            .broken("KVM_CREATE_VM: error 5"), .misbehaves("it ended for reason 17"), .hangs,
        ]
        for verdict in verdicts {
            #expect(!verdict.isUsable)
            #expect(verdict.advice?.isEmpty == false)
        }
        #expect(verdicts[3].advice?.contains("--groups kvm") == true)
        #expect(verdicts[0].finding.contains("1100.0 ns"))
    }
}

/// What of KVM this process holds open.
private func openKVMFiles() -> [String] {
    var names: [String] = []
    for number in 0..<1024 {
        var name = [CChar](repeating: 0, count: 64)
        // SAFETY: the kernel writes at most the given number of bytes.
        let count = unsafe readlink("/proc/self/fd/\(number)", &name, 63)
        let text = String(decoding: name.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        if text.contains("kvm") { names.append(text) }
    }
    return names
}
