import FoundationEssentials
import Testing

@testable import GuestKernels

/// An ELF file with a section `.modinfo` and the section of names.
private func moduleFile(_ fields: [String]) -> [UInt8] {
    let information: [UInt8] = fields.flatMap { (field: String) -> [UInt8] in Array(field.utf8) + [0] }
    let names = Array("\0.modinfo\0.shstrtab\0".utf8)
    var bytes = [UInt8](repeating: 0, count: 64 + 3 * 64)
    func put(_ value: Int, _ offset: Int, _ width: Int) {
        for index in 0..<width { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index)) }
    }
    for (index, byte) in [UInt8(0x7f), 0x45, 0x4c, 0x46, 2, 1].enumerated() { bytes[index] = byte }
    put(64, 0x28, 8)
    put(3, 0x3c, 2)
    put(2, 0x3e, 2)
    for (index, section) in [(1, (1, 256, information.count)), (2, (10, 256 + information.count, names.count))] {
        put(section.0, 64 + index * 64, 4)
        put(section.1, 64 + index * 64 + 24, 8)
        put(section.2, 64 + index * 64 + 32, 8)
    }
    return bytes + information + names
}

@Suite struct KernelModuleTests {
    @Test func `Dependencies and earlier wishes are read, dashes and underscores alike`() throws {
        let module = try #require(
            KernelModule(moduleFile(["license=GPL", "depends=virtio-ring,virtio", "softdep=pre: crc32c post: later"])))
        #expect(module.dependencies == ["virtio_ring", "virtio"])
        #expect(module.wishes == ["crc32c"])
    }

    @Test func `Truncated and scrambled files are refused or read, never trapped on`() {
        let whole = moduleFile(["depends=a,b", "name=x"])
        for length in 0..<whole.count { _ = KernelModule(Array(whole[..<length])) }
        var generator = SplitMix(state: 7)
        for _ in 0..<3000 {
            var bytes = whole
            for _ in 0..<4 {
                bytes[Int.random(in: 6..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            _ = KernelModule(bytes)
        }
        #expect(KernelModule([]) == nil)
    }

    @Test func `Files of modules are told by their names`() {
        #expect(ModuleName.ofFile("/lib/modules/kernel/drivers/char/hw_random/virtio-rng.ko") == "virtio_rng")
        #expect(ModuleName.ofFile("erofs.ko.xz") == "erofs")
        #expect(ModuleName.ofFile("modules.builtin") == nil)
    }
}

@Suite struct ModuleSelectionTests {
    private func selection(
        _ wanted: [String], builtIn: Set<String> = [], _ modules: [String: [String]], wishes: [String: [String]] = [:]
    ) throws -> ModuleSelection {
        try ModuleSelection(wanted, isBuiltIn: { builtIn.contains($0) }) { name throws(KernelError) in
            guard let dependencies = modules[name] else { return nil }
            var fields = ["depends=" + dependencies.joined(separator: ",")]
            if let wish = wishes[name] { fields.append("softdep=pre: " + wish.joined(separator: " ")) }
            return KernelModule(moduleFile(fields))
        }
    }

    @Test func `Each module comes once, after all that it needs`() throws {
        let modules = ["net": ["failover", "ring"], "failover": [], "ring": ["core"], "core": [], "blk": ["ring"]]
        let selection = try selection(["blk", "net"], modules)
        #expect(selection.missing.isEmpty)
        #expect(selection.order.sorted() == ["blk", "core", "failover", "net", "ring"])
        let place = Dictionary(uniqueKeysWithValues: selection.order.enumerated().map { ($1, $0) })
        for (name, dependencies) in modules {
            for needed in dependencies {
                #expect((place[needed] ?? 9) < (place[name] ?? 0), "\(needed) before \(name)")
            }
        }
    }

    @Test func `What is built in is left out, what is nowhere is named, what is only wished for is not`() throws {
        let selection = try selection(
            ["erofs", "absent"], builtIn: ["crc"], ["erofs": ["crc"]], wishes: ["erofs": ["nowhere"]])
        #expect(selection.order == ["erofs"])
        #expect(selection.missing == ["absent"])
    }

    @Test func `Modules that need each other do not make it endless`() throws {
        let selection = try selection(["a"], ["a": ["b"], "b": ["a"]])
        #expect(selection.order.sorted() == ["a", "b"])
    }
}

@Suite struct InitialFileArchiveTests {
    @Test func `The system's cpio reads the archive`() throws {
        var archive = InitialFileArchive()
        archive.addFolder("modules")
        archive.addFile("modules/order", content: Array("a.ko\n".utf8))
        archive.addFile("modules/a.ko", content: [1, 2, 3])
        archive.finish()
        #expect(archive.bytes.count % 4 == 0)
        guard HostTool.isThere("cpio") else { return }
        let temporary = try TemporaryStore()
        let file = try temporary.file(archive.bytes, named: "archive")
        let list = temporary.folder + "/list"
        try HostTool(["cpio", "--quiet", "-itv"], package: "cpio")
            .run(input: file, output: list, orThrow: .invalidKernel, "listing")
        let text = try String(contentsOf: URL(filePath: list), encoding: .utf8)
        #expect(
            text.split(separator: "\n").compactMap { $0.split(separator: " ").last } == [
                "modules", "modules/order", "modules/a.ko",
            ])
        #expect(text.contains("drwxr-xr-x"))
    }
}
