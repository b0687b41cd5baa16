import FoundationEssentials
import Testing

@testable import GuestKernels

private let environment = ProcessInfo.processInfo.environment

/// With the distribution's real packages; asked for, because they need the network (and the build minutes).
@Suite(.serialized) struct DistributionTests {
    @Test(
        .enabled(
            if: environment["SWIFTLET_TEST_PACKAGES"] != nil, "fetches 30 MB; set SWIFTLET_TEST_PACKAGES to run it"))
    func `The distribution's kernel is taken out of its package, and not fetched twice`() throws {
        let temporary = try TemporaryStore()
        var phases: [KernelProgress.Phase] = []
        let kernel = try temporary.store.install { if phases.last != $0.phase { phases.append($0.phase) } }
        #expect(phases == [.fetching, .unpacking, .finishing])
        #expect(kernel.sizeBytes > 10 << 20)
        #expect(kernel.discovery == .acpi)
        let modules = try #require(kernel.modulesPath)
        let archive = String(decoding: try Data(contentsOf: URL(filePath: modules)).prefix(2048), as: UTF8.self)
        for name in ["virtio_mmio.ko\n", "virtio_blk.ko\n", "erofs.ko\n", "overlay.ko\n"] {
            #expect(archive.contains(name))
        }
        phases = []
        #expect(try temporary.store.install { phases.append($0.phase) } == kernel)
        #expect(phases == [.fetching])
        #expect(temporary.names.count == 2)
        if let copy = environment["SWIFTLET_TEST_PACKAGES"], copy.hasPrefix("/") {
            try KernelStore.copy(kernel.path, to: copy + "/vmlinux")
            try KernelStore.copy(modules, to: copy + "/modules.cpio")
        }
    }

    @Test(
        .enabled(
            if: environment["SWIFTLET_TEST_KERNEL_BUILD"] != nil,
            "takes minutes; set SWIFTLET_TEST_KERNEL_BUILD to a work folder to run it"))
    func `The project's own kernel builds, every symbol as asked for`() throws {
        let temporary = try TemporaryStore()
        var settings = KernelBuildSettings()
        settings.workFolder = environment["SWIFTLET_TEST_KERNEL_BUILD"]
        var phases: [KernelProgress.Phase] = []
        let kernel = try temporary.store.build(settings) { if phases.last != $0.phase { phases.append($0.phase) } }
        #expect(phases.suffix(3) == [.configuring, .compiling, .finishing])
        #expect(kernel.version.hasSuffix("-swiftlet"))
        #expect(kernel.discovery == .commandLine)
        #expect(try temporary.store.build(settings) == kernel)
    }

    @Test(
        .enabled(
            if: environment["SWIFTLET_TEST_PACKAGES"] != nil, "fetches 150 MB; set SWIFTLET_TEST_PACKAGES to run it"))
    func `A symbol that the distribution's source does not know ends the build before anything is compiled`() throws {
        let temporary = try TemporaryStore()
        var settings = KernelBuildSettings()
        let configuration = KernelConfiguration.ownText + "CONFIG_NO_SUCH_THING=y\n"
        settings.configurationFile = try temporary.file(Array(configuration.utf8), named: "bad.config")
        let error = #expect(throws: KernelError.self) { try temporary.store.build(settings) }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.message.contains("CONFIG_NO_SUCH_THING") == true)
        #expect(error?.message.hasPrefix("1 symbols") == true)
        #expect(temporary.names == [".lock"])
    }
}
