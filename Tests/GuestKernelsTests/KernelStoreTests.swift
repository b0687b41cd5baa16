import Archives
import FoundationEssentials
import Testing

@testable import GuestKernels

@Suite struct KernelStoreTests {
    let temporary: TemporaryStore
    var store: KernelStore { temporary.store }

    init() throws { temporary = try TemporaryStore() }

    @Test func `An empty store lists nothing and says how to get a kernel`() throws {
        #expect(try store.list().isEmpty)
        let error = #expect(throws: KernelError.self) { try store.resolve() }
        #expect(error?.code == .unknownKernel)
        #expect(error?.message.contains("swiftlet kernel install") == true)
    }

    @Test func `A store below what is no folder is an error, and not an empty one`() throws {
        let file = try temporary.file([1], named: "file")
        let error = #expect(throws: KernelError.self) { try KernelStore(root: file + "/kernels").list() }
        #expect(error?.code == .damagedStore)
    }

    @Test func `A tool that finds the disk full says so`() throws {
        let tool = HostTool(
            ["sh", "-c", "echo 'tar: x: Cannot write: No space left on device' >&2; exit 2"], package: "x")
        let error = #expect(throws: KernelError.self) { try tool.run(orThrow: .invalidKernel, "unpacking x") }
        #expect(error?.code == .diskFull && error?.message.contains("make room") == true)
    }

    @Test func `A kernel's digest is that of its bytes, followed by its modules'`() throws {
        let kernel = try temporary.kernelFile("one")
        let modules = try temporary.file(Array("modules".utf8), named: "modules")
        let plain = try store.add(kernelFile: kernel, name: "plain", version: "6.1")
        let modular = try store.add(kernelFile: kernel, modulesFile: modules, name: "modular", version: "6.1")
        let bytes = Array(try Data(contentsOf: URL(filePath: kernel)))
        #expect(plain.digest == SHA256.digest(of: bytes).description)
        #expect(modular.digest == SHA256.digest(of: bytes + Array("modules".utf8)).description)
        #expect(plain.sizeBytes == UInt64(bytes.count))
        #expect(plain.modulesPath == nil)
        #expect(modular.modulesSizeBytes == 7)
        #expect(plain.architecture == "x86_64")
        #expect(try Data(contentsOf: URL(filePath: modular.path)) == Data(bytes))
    }

    @Test func `A name or a version means the newest, a digest's beginning the one that has it`() throws {
        let first = try store.add(kernelFile: try temporary.kernelFile("one"), name: "mine", version: "6.1")
        let second = try store.add(kernelFile: try temporary.kernelFile("two"), name: "other", version: "6.12")
        #expect(try store.resolve("mine").digest == first.digest)
        #expect(try store.resolve("6.12").digest == second.digest)
        #expect(try store.resolve(second.shortDigest).digest == second.digest)
        #expect(try store.resolve(first.digest).digest == first.digest)
        #expect(throws: KernelError.self) { try store.resolve("none") }
        #expect(throws: KernelError.self) { try store.resolve("") }
        #expect(throws: KernelError.self) { try store.resolve("../mine") }
    }

    @Test func `The project's own kernel is the default until another is chosen, and again when that one is gone`()
        throws
    {
        let own = try store.add(kernelFile: try temporary.kernelFile("own"), name: "swiftlet", version: "6.12")
        let other = try store.add(kernelFile: try temporary.kernelFile("other"), name: "debian-cloud", version: "6.1")
        #expect(try store.resolve().digest == own.digest)
        #expect(try store.use("debian-cloud").isDefault)
        #expect(try store.resolve().digest == other.digest)
        #expect(try store.list().filter(\.isDefault).map(\.digest) == [other.digest])
        try store.remove("debian-cloud")
        #expect(try store.resolve().digest == own.digest)
        #expect(try store.list().map(\.digest) == [own.digest])
    }

    @Test func `The same kernel added twice is there once, under the later name`() throws {
        let file = try temporary.kernelFile("same")
        try store.add(kernelFile: file, name: "first", version: "1")
        try store.add(kernelFile: file, name: "second", version: "1")
        #expect(try store.list().map(\.name) == ["second"])
    }

    @Test func `What is not a kernel, or has an impossible name, is refused and leaves nothing behind`() throws {
        let noKernel = try temporary.file(Array("#!/bin/sh\n".utf8), named: "script")
        let kernel = try temporary.kernelFile("fine")
        for (file, name) in [(noKernel, "fine"), (kernel, "../up"), (kernel, ""), (kernel, ".x"), (kernel, "a b")] {
            #expect(throws: KernelError.self) { try store.add(kernelFile: file, name: name, version: "1") }
        }
        #expect(throws: KernelError.self) {
            try store.add(kernelFile: temporary.folder + "/absent", name: "fine", version: "1")
        }
        #expect(temporary.names == [".lock"])
    }

    @Test func `A folder that a killed process left is removed by the next change`() throws {
        let leftover = store.root + "/.incoming-1-dead"
        try FileManager.default.createDirectory(atPath: leftover, withIntermediateDirectories: true)
        try store.add(kernelFile: try temporary.kernelFile("one"), name: "one", version: "1")
        #expect(!FileManager.default.fileExists(atPath: leftover))
    }

    @Test func `A damaged record is named in the error`() throws {
        let kernel = try store.add(kernelFile: try temporary.kernelFile("one"), name: "one", version: "1")
        let record = kernel.path.dropLast("vmlinux".count) + "record.json"
        try Data("{".utf8).write(to: URL(filePath: String(record)))
        let error = #expect(throws: KernelError.self) { try store.list() }
        #expect(error?.code == .damagedStore)
        #expect(error?.message.contains("record.json") == true)
    }

    @Test func `Many additions at once all arrive`() async throws {
        let files = try (0..<8).map { try temporary.kernelFile("kernel \($0)", named: "given-\($0)") }
        let store = store
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, file) in files.enumerated() {
                group.addTask { try store.add(kernelFile: file, name: "kernel-\(index)", version: "1") }
            }
            try await group.waitForAll()
        }
        #expect(try store.list().count == 8)
        #expect(temporary.names.count == 9)
    }
}
